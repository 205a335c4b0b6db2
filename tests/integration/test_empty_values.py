"""The empty text, as a survey of AWX sends it for what nobody filled in, means unset; words are as good as booleans."""

from __future__ import annotations

import re

from ansible_collections.dataminer.web.plugins.module_utils.settings import SETTINGS
from conftest import MakeSite
from playbook import Site, target

# what tells where the simulated agent is and what to do there: unset it would be another agent, and nothing to do
NEEDED = {
    *(f"dataminer_{name}" for name in ("root", "work_dir", "backup_dir", "host_command", "installer", "cluster")),
    "dataminer_target_version",
    "dataminer_package",
}
OPEN = sorted(SETTINGS.keys() - NEEDED)


def upgraded(site: Site, **variables: object) -> str:
    """The summary of a dry run that ends well, without the time in names of backups."""
    run = site.play("upgrade_web", "--check", variables={**target(site.cluster), **variables})
    assert run.rc == 0, run.text
    return re.sub(r"\d{8}T\d{6}Z", "…", run.summary.split("PLAY RECAP")[0])


def test_all_at_once(make_site: MakeSite) -> None:
    """One run with everything empty says what a run says that sets nothing; so does a downgrade, whose roles have variables of their own."""
    site = make_site(agents=1)
    before = site.trees()

    said = upgraded(site, **dict.fromkeys(OPEN, ""))

    assert "would change" in said
    assert said == upgraded(site)
    down = site.play("downgrade_restore", "--check", variables={**target(site.cluster), **dict.fromkeys(OPEN, "")})
    assert down.rc != 0
    assert "downgrade" in down.messages("DMA1")[0]
    assert "can't be what it is" not in down.text
    assert site.trees() == before


def test_words_for_booleans(make_site: MakeSite) -> None:
    """They are as good as booleans. What gives leave is in test_command_line.py."""
    site = make_site(agents=1)
    status = site.play("cluster_status", "-e", "dataminer_verify_content_equal=no dataminer_gate_content=yes dataminer_hosts=")
    assert status.rc == 0, status.text
