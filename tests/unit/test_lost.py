"""What counts as a lost connection, as a refused log-on, and as a fault of the controller, in the words of each connection."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import pytest
import requests
import requests_ntlm
from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection.ssh import AnsibleControlPersistBrokenPipeError
from ansible_collections.dataminer.web.plugins.plugin_utils.lost import is_local, is_lost, is_refused
from spnego.exceptions import FeatureMissingError, InvalidTokenError, NativeError, NegotiateOptions, SpnegoError

SENT = 'Data could not be sent to remote host "dma1". Make sure this host can be reached over ssh: '


def caused(cause: Exception) -> AnsibleError:
    error = AnsibleError("The module failed")
    error.__cause__ = cause
    return error


def kerberos(text: str) -> Exception:
    """What psrp lets through as it is."""
    failed = NativeError(f"Major (851968): Unspecified GSS failure.  Minor code may provide more information, Minor (1): {text}", maj_code=851968)
    error: Exception = SpnegoError(base_error=failed, context_msg="Getting GSSAPI credential")
    return error


def credssp(kind: str, text: str) -> Exception:
    """Of requests_credssp, which isn't among what the tests need."""
    error: Exception = type(kind, (Exception,), {"__module__": "requests_credssp.exceptions"})(text)
    return error


def ntlm(header: dict[str, str]) -> Exception:
    """What requests_ntlm makes of an agent that answers the first half of a log-on like this."""
    answer, first = requests.Response(), requests.Response()
    for response, headers in (first, {"www-authenticate": "NTLM"}), (answer, header):
        response.headers.update(headers)
        response.request, response.url = requests.Request("POST", "http://dma1:5985/wsman").prepare(), "http://dma1:5985/wsman"
        response.raw, response._content, response.status_code = SimpleNamespace(release_conn=lambda: None), b"", 401
    first.connection = SimpleNamespace(send=lambda request, **more: answer)  # type: ignore[attr-defined]
    with pytest.raises((PermissionError, KeyError)) as met:
        requests_ntlm.HttpNtlmAuth("svc", "secret", send_cbt=False).response_hook(first)
    return met.value


LOG_ON = [
    kerberos("Cannot contact any KDC for realm 'X'"),
    credssp("AuthenticationException", "SpnegoError (4294967295): Cannot contact any KDC for realm 'X', Context: Getting GSSAPI credential"),
    credssp("AuthenticationException", "Server did not response with a CredSSP token after step TLS Handshake - actual ''"),
    ntlm({"www-authenticate": "Basic"}),
    ntlm({}),
]


@pytest.mark.parametrize("error", LOG_ON, ids=["kerberos", "kerberos_by_credssp", "credssp", "ntlm_without_challenge", "ntlm_without_header"])
def test_a_log_on_that_could_not_be_tried(error: Exception) -> None:
    """Nobody refused it. It tells no more of what was asked than a lost connection."""
    assert is_lost(error)
    assert is_lost(caused(error))
    assert not is_refused(error)
    assert not is_local(error)


REFUSED = [
    kerberos("Preauthentication failed"),
    kerberos("Client's credentials have been revoked"),
    kerberos("Decrypt integrity check failed"),
    InvalidTokenError(context_msg="Received SPNEGO rejection with no token error message"),
    credssp("NTStatusException", "Received error status from the server: (3221225581) STATUS_LOGON_FAILURE 0xc000006d"),
    credssp("AuthenticationException", "SpnegoError (4294967295): Received NTStatus in TSRequest from acceptor, Context: Public key exchange"),
    credssp("AuthenticationException", "Server did not response with a CredSSP token after step Public key exchange - actual 'CredSSP'"),
]


@pytest.mark.parametrize("error", REFUSED, ids=str)
def test_a_log_on_that_was_refused_by_a_library_s_own_error(error: Exception) -> None:
    assert is_lost(error)
    assert is_refused(error)


@pytest.mark.parametrize(
    "error",
    [
        AnsibleConnectionFailure(SENT + "Connection to dma1 closed by remote host."),
        AnsibleControlPersistBrokenPipeError("Data could not be sent because of ControlPersist broken pipe: mux_client_hello_exchange"),
        AnsibleError("winrm send_input failed; \nstdout: \nstderr "),
        AnsibleError("the connection attempt timed out"),
        requests.exceptions.ReadTimeout("Read timed out."),
        ConnectionResetError("reset"),
        TimeoutError("timed out"),
        caused(ConnectionResetError("reset")),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lost_connection(error: Exception) -> None:
    assert is_lost(error)


@pytest.mark.parametrize(
    "error",
    [
        AnsibleError("Unable to execute ssh command line on a controller due to: No such file or directory"),
        caused(ValueError("no JSON")),
        KeyError("www-authenticate"),
        PermissionError(13, "Permission denied", "/home/runner/.ansible"),
        subprocess.SubprocessError("no"),
    ],
    ids=["no_ssh_here", "another_cause", "another_key", "another_file", "another_error"],
)
def test_what_was_asked_failed(error: Exception) -> None:
    assert not is_lost(error)


@pytest.mark.parametrize(
    "text",
    [
        "basic: the specified credentials were rejected by the server",
        "Failed to authenticate the user svc with negotiate",
        "Kerberos auth failure for principal svc@X with subprocess: kinit: Password incorrect while getting initial credentials",
        "Kerberos auth failure for principal svc@X with subprocess: kinit: Clients credentials have been revoked while getting initial credentials",
        SENT + "svc@dma1: Permission denied (publickey,password,keyboard-interactive).",
        SENT + "Permission denied, please try again.",
        SENT + "Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures",
    ],
)
def test_a_refused_log_on(text: str) -> None:
    assert is_refused(AnsibleConnectionFailure(text))


def test_a_refused_password() -> None:
    """sshpass tells by its exit status."""
    assert is_refused(AnsibleAuthenticationFailure("Invalid/incorrect password:"))


@pytest.mark.parametrize(
    "text",
    [
        "Could not create directory '/home/runner/.ssh' (Permission denied).\r\nConnection to dma1 closed by remote host.",
        "hostkeys_foreach failed for /root/.ssh/known_hosts: Permission denied\r\nTimeout, server dma1 not responding.",
        "client_loop: send disconnect: Broken pipe",
        "ssh: connect to host dma1 port 22: Connection refused",
        "Kerberos auth failure for principal svc@X with subprocess: kinit: Cannot contact any KDC for realm 'X' while getting initial credentials",
    ],
)
def test_what_ssh_says_of_the_controller_is_no_refusal(text: str) -> None:
    """A connection that was lost would count as refused, and not be made anew."""
    assert not is_refused(AnsibleConnectionFailure(SENT + text))


LOCAL = [
    AnsibleError("winrm or requests is not installed: No module named 'winrm'"),
    AnsibleError("xmltodict is not installed: No module named 'xmltodict'"),
    AnsibleError("pypsrp or dependencies are not installed: No module named 'pypsrp'"),
    AnsibleConnectionFailure("WinRM Kerberos authentication requested but the python kerberos library is not installed. Please install"),
    AnsibleConnectionFailure("ntlm: requested auth method is ntlm, but requests_ntlm is not installed"),
    AnsibleConnectionFailure("credssp: requests auth method is credssp, but requests-credssp is not installed"),
    AnsibleConnectionFailure("Kerberos auth failure when calling kinit cmd 'kinit': [Errno 2] No such file or directory: 'kinit'"),
    AnsibleConnectionFailure("ntlm: Could not find a suitable TLS CA certificate bundle, invalid path: /etc/pki/ca.pem"),
    AnsibleConnectionFailure("ntlm: (Caused by SSLError(SSLError(136, '[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate or crl found')))"),
    AnsibleConnectionFailure("certificate: cert_pem file not found (/etc/dataminer/client.pem)"),
    # psrp lets these through as they are
    OSError("Could not find a suitable TLS CA certificate bundle, invalid path: /etc/pki/ca.pem"),
    OSError("Could not find the TLS certificate file, invalid path: /etc/dataminer/client.pem"),
    ImportError("Cannot use CredSSP auth as requests-credssp is not installed: No module named 'requests_credssp'"),
    ImportError("GSSAPIProxy requires the Python gssapi library: No module named 'gssapi'"),
    FeatureMissingError(NegotiateOptions.negotiate_kerberos),
    FeatureMissingError(NegotiateOptions.wrapping_winrm),
    caused(OSError("Could not find the TLS key file, invalid path: /etc/dataminer/client-key.pem")),
]


@pytest.mark.parametrize("error", LOCAL, ids=str)
def test_what_the_controller_lacks(error: Exception) -> None:
    """The agent counts as unreachable all the same."""
    assert is_local(error)
    assert is_lost(error)
    assert not is_refused(error)


@pytest.mark.parametrize(
    "text",
    [
        SENT + "Connection to dma1 closed by remote host.",
        "basic: the specified credentials were rejected by the server",
        "ntlm: (Caused by SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed')))",
        "Kerberos auth failure for principal svc@X with subprocess: kinit: Cannot contact any KDC for realm 'X' while getting initial credentials",
        "Failed to connect to the host via PSRP: Connection refused",
    ],
)
def test_what_may_be_the_network_or_the_agent(text: str) -> None:
    assert not is_local(AnsibleConnectionFailure(text))
