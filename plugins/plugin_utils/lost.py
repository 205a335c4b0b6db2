# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that are lost: what counts as that, and how they are made anew."""

from __future__ import annotations

from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

display = Display()
TRANSPORTS = ("winrm", "pypsrp", "psrpcore", "requests", "urllib3", "httpcore")
# of winrm, of psrp, and of ssh, which also says "Permission denied" of the controller's own files
_REFUSALS = (
    "credentials were rejected",
    # of kinit, which winrm calls
    "password incorrect",
    "preauthentication failed",
    "credentials have been revoked",
    "password has expired",
    "failed to authenticate",
    "permission denied (",
    "permission denied, please",
    "too many authentication failures",
)
# the controller lacks something: words of the connection plugins, and of the libraries below them
_LOCAL = (
    "winrm or requests is not installed",
    "xmltodict is not installed",
    "kerberos library is not installed",
    "pykerberos is not installed",
    "requests_ntlm is not installed",
    "requests-credssp is not installed",
    "pypsrp or dependencies are not installed",
    "requires the python gssapi library",
    "when calling kinit cmd",
    # files that the inventory names: the authorities, the client's certificate and its key
    "could not find a suitable tls ca certificate bundle",
    "no certificate or crl found",
    "could not find the tls certificate file",
    "could not find the tls key file",
    "cert_pem file not found",
    "cert_key_pem file not found",
)
# words of connections that are lost without an AnsibleConnectionFailure: ssh's one for several calls, gone twice in a row; winrm's, beneath the input
_GONE = ("controlpersist broken pipe", "winrm send_input failed")


def is_lost(error: BaseException) -> bool:
    """Whether the transport failed, and not what was asked of it. Connection plugins let errors of their libraries through.

    Where the controller is at fault, too: its agent can't be reached, whatever class of error a plugin has for that.
    """
    if isinstance(error, AnsibleConnectionFailure) or any(words in str(error).lower() for words in _GONE) or is_local(error):
        return True
    cause = error.__cause__ if isinstance(error, AnsibleError) and error.__cause__ is not None else error
    return isinstance(cause, (ConnectionError, TimeoutError)) or type(cause).__module__.partition(".")[0] in TRANSPORTS


def is_refused(error: BaseException) -> bool:
    """Whether the log-on was refused. Trying that again and again locks the account."""
    return isinstance(error, AnsibleAuthenticationFailure) or any(words in str(error).lower() for words in _REFUSALS)


def is_local(error: BaseException | str) -> bool:
    """Whether the controller can't connect by its own fault: a library or a file isn't there. Another try finds the same."""
    said = f"{error} {getattr(error, '__cause__', None) or ''}".lower()
    return any(words in said for words in _LOCAL)


def connect_anew(connection: ConnectionBase) -> None:
    """Forgets the connection. Plugins connect at once, and fail at once where nobody answers: that is for the next call to find.

    psrp keeps what it couldn't open, and would go on with that: closed, it connects when it is needed.
    """
    try:
        connection.reset()
    except Exception as error:
        if not is_lost(error):
            raise
        display.vv(f"connection not made anew yet: {error}")
        connection.close()
