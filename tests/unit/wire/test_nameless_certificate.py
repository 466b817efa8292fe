"""The certificate of a node without a service address: it carries a name that every parser takes."""

from pathlib import Path

from cryptography import x509

from baton.wire.self_signed import CERTIFICATE_FILE, ensure_pair

NOW_S = 1_700_000_000.0


def test_a_node_without_a_service_address_has_a_name_all_the_same(tmp_path: Path) -> None:
    assert ensure_pair(tmp_path, host="", now_s=NOW_S)
    certificate = x509.load_pem_x509_certificate((tmp_path / CERTIFICATE_FILE).read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert not ensure_pair(tmp_path, host="", now_s=NOW_S), "the pair is kept over restarts"
