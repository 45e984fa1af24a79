"""What somebody hostile may try, and where a secret might come to light."""

from prove.fault import Fault

KIND = "Somebody is hostile, or curious"
FAULTS = (
    Fault(
        KIND,
        "hostile names, cells, labels, line errors and batch names",
        "line ends, escape sequences, turned text, markup, shell words and formulas in each, debug level",
        "each line of the log is one JSON object; no report, status, sheet or command carries them",
        "system/test_hostile_words.py::test_hostile_words_act_on_nothing",
    ),
    Fault(
        KIND,
        "hostile names of files",
        "255 bytes, not UTF-8, leading dash, quotes, newline",
        "sent under our own ASCII names, kept under theirs",
        "system/test_arrivals.py::test_hostile_names_are_sent_like_any_other",
    ),
    Fault(
        KIND,
        "links, FIFOs and directories in an inbox",
        "made there",
        "held, never opened, never followed; directories stay",
        "system/test_arrivals.py::test_what_is_no_file_is_held_and_stops_nothing",
    ),
    Fault(
        KIND,
        "a password, token, client secret or signed address comes to light",
        "they are searched for in every file that any test leaves, in logs and in the ledger's bytes",
        "nowhere",
        "conftest.py::no_secret_is_left",
    ),
    Fault(
        KIND,
        "the same, in process arguments and in what commands print",
        "/proc and the commands, after a run of everything at debug level",
        "nowhere",
        "system/test_hostile_words.py::test_hostile_words_act_on_nothing",
    ),
    Fault(
        KIND,
        "the same, in a repr or a traceback",
        "each value that holds one is printed; exceptions that name one are logged",
        "`***`",
        "test_canaries.py::test_no_repr_shows_a_secret",
    ),
    Fault(
        KIND,
        "the process that reads foreign files is taken over",
        "its environment is looked at",
        "no secret stands there",
        "adapters/test_check_process.py::test_the_child_gets_no_secret_in_its_environment",
    ),
    Fault(
        KIND,
        "a secret's file that others may read",
        "modes of the file",
        "refused, with the command that mends it",
        "config/test_config_secrets.py::test_open_file",
    ),
    Fault(
        KIND,
        "a redirect to another host",
        "every kind of redirect, on every call, to a host that listens",
        "nobody comes there: no credential can arrive",
        "prove/test_network.py::test_a_call_meets_trouble",
    ),
)
