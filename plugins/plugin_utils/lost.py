# Copyright: (c) dataminer.web contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections that are lost: what counts as that, and how they are made anew."""

from __future__ import annotations

import traceback

from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase
from ansible.utils.display import Display

display = Display()
TRANSPORTS = ("winrm", "pypsrp", "psrpcore", "requests", "urllib3", "httpcore")
# what logs on for them, at every new socket. Python's own errors leave these too: of an answer that lacks its header, the KeyError
LOG_ONS = ("spnego", "requests_ntlm", "requests_credssp", "gssapi", "krb5", "kerberos")
# of winrm, of psrp, and of ssh, which also says "Permission denied" of the controller's own files
_REFUSALS = (
    "credentials were rejected",
    # of kinit, which winrm calls
    "password incorrect",
    "preauthentication failed",
    "credentials have been revoked",
    "password has expired",
    "failed to authenticate",
    # of the libraries that log on. CredSSP brings the password with the public key: an agent that is too old to say why it refuses says nothing then
    "decrypt integrity check failed",
    "received spnego rejection",
    "status_logon_failure",
    "status_password_expired",
    "received ntstatus in tsrequest",
    "credssp token after step public key exchange",
    "credssp token after step credential exchange",
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
    "the python gssapi library is not installed",
    "missing the gssapi iov extension",
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
# and while it is made
_GONE = ("controlpersist broken pipe", "winrm send_input failed", "the connection attempt timed out")


def is_lost(error: BaseException) -> bool:
    """Whether the transport failed, and not what was asked of it. Connection plugins let errors of their libraries through.

    Where the controller is at fault, too: its agent can't be reached, whatever class of error a plugin has for that.
    """
    if isinstance(error, AnsibleConnectionFailure) or any(words in str(error).lower() for words in _GONE) or is_local(error):
        return True
    cause = error.__cause__ if isinstance(error, AnsibleError) and error.__cause__ is not None else error
    return isinstance(cause, (ConnectionError, TimeoutError)) or _package(type(cause).__module__) in TRANSPORTS or _left_log_on(cause)


def _left_log_on(error: BaseException) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    modules = [type(error).__module__, *(str(frame.f_globals.get("__name__")) for frame, _line in frames)]
    return any(_package(name) in LOG_ONS for name in modules)


def _package(module: str) -> str:
    return module.partition(".")[0]


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
