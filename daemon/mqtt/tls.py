"""TLS to the broker, the same for every connection to it."""

import ssl

from daemon.config.settings import Mqtt


def tls_context(settings: Mqtt) -> ssl.SSLContext | None:
    """What the settings ask for; `None` = in the clear."""
    if not settings.tls:
        return None
    context = ssl.create_default_context(cafile=settings.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if settings.cert is not None:
        context.load_cert_chain(settings.cert, settings.key)
    return context
