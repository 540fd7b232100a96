"""Who we are to an API server: from a kubeconfig, or from the pod's own service account.

The `kubernetes` package reads both, with all that kubeconfigs can hold: client certificates, tokens in files, plugins
that are run. It is asked again when a token is due (in a pod each minute: tokens rotate), and wholly anew when the
server does not accept us any more. It blocks, and a plugin may take seconds: call these from a thread.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass

from kubernetes.client import Configuration
from kubernetes.client.rest import should_bypass_proxies
from kubernetes.config import ConfigException, load_incluster_config, load_kube_config

from jetmill.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach the server, as it was read last."""

    server: str
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    verify: bool
    tls_server_name: str | None
    proxy: str | None

    def ssl_context(self) -> ssl.SSLContext:
        """Build what verifies the server, and shows our certificate if we have one."""
        context = ssl.create_default_context(cafile=self.ca_file)
        # From Python 3.13 on a CA without the extensions of RFC 5280 is refused; clusters have such, and no other
        # client of Kubernetes minds.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


class Credential:
    """Access to one API server, kept fresh. Its methods may be called from any thread."""

    def __init__(self, load: Callable[[Configuration], None]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._configuration = self._read()

    @property
    def access(self) -> Access:
        """Where the server is, and how TLS with it goes."""
        found = self._configuration
        bypassed = found.proxy and should_bypass_proxies(found.host, found.no_proxy or "")
        return Access(
            server=found.host.rstrip("/"),
            ca_file=found.ssl_ca_cert,
            cert_file=found.cert_file,
            key_file=found.key_file,
            verify=bool(found.verify_ssl),
            tls_server_name=found.tls_server_name,
            proxy=None if bypassed else found.proxy,
        )

    def authorization(self) -> str | None:
        """Give the value for the header `Authorization`, read again if it is due; None: the certificate says it all."""
        with self._lock:
            found: str | None = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return found

    def reload(self) -> None:
        """Read everything anew: the server does not accept what we showed."""
        fresh = self._read()
        with self._lock:
            self._configuration = fresh

    def _read(self) -> Configuration:
        configuration = Configuration()
        try:
            self._load(configuration)
        except (ConfigException, OSError) as err:
            raise ConfigError(
                f"there are no credentials for a cluster: {err}", cure="set KUBECONFIG, or run in a pod"
            ) from err
        return configuration


def find_credential(*, kubeconfig: str = "", context: str = "") -> Credential:
    """Find the credentials: of the kubeconfig that is named, else of the pod we are in, else of `~/.kube/config`.

    `kubeconfig` may be several paths as in the variable KUBECONFIG. ConfigError if there are none.
    """

    def load(configuration: Configuration) -> None:
        if not kubeconfig:
            try:
                load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            except ConfigException:
                pass
            else:
                return
        load_kube_config(  # type: ignore[no-untyped-call]
            config_file=kubeconfig or None,
            context=context or None,
            client_configuration=configuration,
            persist_config=False,
        )

    return Credential(load)
