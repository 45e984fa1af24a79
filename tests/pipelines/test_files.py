"""The blocking work on files, where a power loss must not undo it."""

from pathlib import Path

from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.pipelines.files import Files


async def test_a_work_directory_made_anew_lasts(tmp_path: Path, synced: list[Path]) -> None:
    """A dropped file that comes back from a shelf would go with it."""
    files = Files(tmp_path, ProcessChecker())
    await files.make_work(tmp_path / "work")
    await files.make_work(tmp_path / "work")
    assert synced == [tmp_path]


async def test_removed_sidecars_stay_removed(tmp_path: Path, synced: list[Path]) -> None:
    """A report that came back would contradict the one that holds; a missing folder is no fault."""
    files, gone = Files(tmp_path, ProcessChecker()), tmp_path / "a.csv.report.json"
    gone.write_text("{}")
    await files.remove_sidecars(tmp_path / "a.csv", "01M8414CKA6P0XDNG63EMVZVEM")
    assert not gone.exists()
    assert synced == [tmp_path]
    await files.remove_sidecars(tmp_path / "away" / "a.csv", "01M8414CKA6P0XDNG63EMVZVEM")
    assert synced == [tmp_path]
