# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the steps of a restore share: the job of an earlier call, how far it is, how it ended."""

from __future__ import annotations

from .case_common import Args, Result, job_result
from .host import Host
from .jobs import JobStatus

NO_SERVICE = "none"


def known(host: Host, args: Args, wait: float) -> JobStatus | None:
    """The job that an earlier call of this step started."""
    status = host.poll(args["run_id"], wait) if args.get("run_id") else None
    return None if status is None or status.state == "absent" else status


def running(status: JobStatus) -> Result:
    return {"changed": True, "finished": False, "job": job_result(status)}


def ended(status: JobStatus) -> Result:
    """The result of a job that ended well; raises why it didn't."""
    if status.state != "done" or status.result is None:
        raise status.failure()
    return status.result


def service_of(args: Args) -> str | None:
    """The web server's service; none where none serves from this tree."""
    name = str(args.get("web_service") or NO_SERVICE)
    return None if name.lower() == NO_SERVICE else name
