# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""WS-Man messages: what a request says, and the XML of answers and faults."""

from __future__ import annotations

import re
import uuid
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from xml.sax.saxutils import escape

NS = {
    "s": "http://www.w3.org/2003/05/soap-envelope",
    "a": "http://schemas.xmlsoap.org/ws/2004/08/addressing",
    "w": "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd",
    "x": "http://schemas.xmlsoap.org/ws/2004/09/transfer",
    "rsp": "http://schemas.microsoft.com/wbem/wsman/1/windows/shell",
}
CMD_SHELL = f"{NS['rsp']}/cmd"
POWERSHELL = "http://schemas.microsoft.com/powershell/"
FAULT = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
FAULT_DETAIL = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
TIMED_OUT, NO_SHELL, UNSUPPORTED, TOO_LARGE = 2150858793, 2150858843, 2150858752, 2150858790
_XMLNS = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NS.items())
_SECONDS = re.compile(r"PT(\d+(?:\.\d+)?)S")


class WsmanFault(Exception):
    """A request that is answered with a fault of this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request: its id, the action's URI, the resource, the shell and command it is about, seconds it may take, its XML."""

    id: str
    action: str
    resource: str
    shell: str | None
    command: str | None
    seconds: float
    root: ET.Element

    @property
    def verb(self) -> str:
        """Create, Command, Send, Receive, Signal, Delete."""
        return self.action.rsplit("/", 1)[1]

    def text(self, path: str) -> str | None:
        """The text of the first element at that path, such as `.//rsp:Command`."""
        return self.root.findtext(path, namespaces=NS)

    def find(self, path: str) -> ET.Element | None:
        return self.root.find(path, NS)


def parse(raw: bytes) -> Request:
    """Raises ValueError for what is no WS-Man request."""
    try:
        root = ET.fromstring(raw)
    except ET.ParseError as error:
        raise ValueError(f"no XML: {error}") from error
    message, action, resource = (root.findtext(f".//{name}", namespaces=NS) for name in ("a:MessageID", "a:Action", "w:ResourceURI"))
    if not message or not action or not resource:
        raise ValueError(f"MessageID {message!r}, Action {action!r}, ResourceURI {resource!r}: one is missing")
    patience = _SECONDS.fullmatch(root.findtext(".//w:OperationTimeout", "PT20S", NS))
    return Request(
        id=message,
        action=action,
        resource=resource,
        shell=root.findtext(".//w:Selector[@Name='ShellId']", namespaces=NS),
        command=next((node.attrib["CommandId"].upper() for node in root.iter() if "CommandId" in node.attrib), None),
        seconds=float(patience[1]) if patience else 20.0,
        root=root,
    )


def answer(request: Request, body: str = "") -> str:
    return _envelope(request.id, request.action + "Response", body)


def fault(request: Request, problem: WsmanFault) -> str:
    subcode = "w:TimedOut" if problem.code == TIMED_OUT else "w:InternalError"
    detail = f'<f:WSManFault xmlns:f="{FAULT_DETAIL}" Code="{problem.code}"><f:Message>{escape(problem.reason)}</f:Message></f:WSManFault>'
    body = (
        f"<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode><s:Value>{subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{escape(problem.reason)}</s:Text></s:Reason><s:Detail>{detail}</s:Detail></s:Fault>'
    )
    return _envelope(request.id, FAULT, body)


def _envelope(relates_to: str, action: str, body: str) -> str:
    return (
        f"<s:Envelope {_XMLNS}><s:Header><a:Action>{action}</a:Action><a:MessageID>uuid:{uuid.uuid4()}</a:MessageID>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )


def shell_created(shell: str, resource: str) -> str:
    return (
        "<x:ResourceCreated><a:Address>http://127.0.0.1/wsman</a:Address><a:ReferenceParameters>"
        f"<w:ResourceURI>{resource}</w:ResourceURI><w:SelectorSet>"
        f'<w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet></a:ReferenceParameters></x:ResourceCreated>'
        f"<rsp:Shell><rsp:ShellId>{shell}</rsp:ShellId><rsp:ResourceUri>{resource}</rsp:ResourceUri></rsp:Shell>"
    )


def command_created(command: str) -> str:
    return f"<rsp:CommandResponse><rsp:CommandId>{command}</rsp:CommandId></rsp:CommandResponse>"


def stream(name: str, command: str | None, data: str, *, end: bool = False) -> str:
    about = (f' CommandId="{command}"' if command else "") + (' End="true"' if end else "")
    return f'<rsp:Stream Name="{name}"{about}>{data}</rsp:Stream>'


def done(command: str, code: int | None = None) -> str:
    exit_code = "" if code is None else f"<rsp:ExitCode>{code & 0xFFFFFFFF}</rsp:ExitCode>"
    return f'<rsp:CommandState CommandId="{command}" State="{NS["rsp"]}/CommandState/Done">{exit_code}</rsp:CommandState>'


def received(*parts: str) -> str:
    return f"<rsp:ReceiveResponse>{''.join(parts)}</rsp:ReceiveResponse>"
