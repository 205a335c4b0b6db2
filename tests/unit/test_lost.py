"""What counts as a lost connection, as a refused log-on, and as a fault of the controller, in the words of each connection."""

from __future__ import annotations

import subprocess

import pytest
import requests
from ansible.errors import AnsibleAuthenticationFailure, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection.ssh import AnsibleControlPersistBrokenPipeError
from ansible_collections.dataminer.web.plugins.plugin_utils.lost import is_local, is_lost, is_refused

SENT = 'Data could not be sent to remote host "dma1". Make sure this host can be reached over ssh: '


def caused(cause: Exception) -> AnsibleError:
    error = AnsibleError("The module failed")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        AnsibleConnectionFailure(SENT + "Connection to dma1 closed by remote host."),
        AnsibleControlPersistBrokenPipeError("Data could not be sent because of ControlPersist broken pipe: mux_client_hello_exchange"),
        AnsibleError("winrm send_input failed; \nstdout: \nstderr "),
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
        subprocess.SubprocessError("no"),
    ],
    ids=["no_ssh_here", "another_cause", "another_error"],
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
