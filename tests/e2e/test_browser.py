"""A browser that has a sidecar as its proxy, by CONNECT: every page loads, with TurboTLS where the DNS says so."""

from pathlib import Path

from harness.chromium import Chromium
from harness.forward import ATTEMPTS, Sidecar
from harness.proxy import BY_UDP, Proxies, Proxy
from harness.sites import ZONE, Sites
from harness.wait import wait_until

CLASSIC = ("plain", "alpn", "plain6")
TURBO = ("turbo", "other", "six")


def test_a_browser_loads_what_several_sites_have(proxies: Proxies, sites: Sites, edges: Proxy, tmp_path: Path) -> None:
    """One page of six sites: it shows what the scripts of all of them have written."""
    tmp_path.chmod(0o755)
    sidecar = Sidecar(proxies, sites, tmp_path)
    browser = Chromium(tmp_path / "home", sites.ca)
    names = [f"{site}.{ZONE}" for site in CLASSIC + TURBO]
    page = "".join(f"<script src='https://{name}/script.js'></script>" for name in names)
    (sites.folder / "page.html").write_text(f"<!DOCTYPE html><body>{page}</body>")
    (sites.folder / "script.js").write_text("document.write(`<p>from ${new URL(document.currentScript.src).host}</p>`)")
    seen = []
    for _ in range(ATTEMPTS):
        before = len(sidecar.proxy.records())
        document = browser.document(f"https://turbo.{ZONE}/page.html",
                                    f"--proxy-server=http://127.0.0.1:{sidecar.ports['http']}", host=sites.near)
        assert [name for name in names if f"<p>from {name}</p>" not in document] == [], document
        seen.append(outcomes_by_site(sidecar.proxy, before, names))
        turbo = {site for site in TURBO if any(each[f"{site}.{ZONE}"].intersection(BY_UDP) for each in seen)}
        if turbo == set(TURBO):
            break
    assert turbo == set(TURBO), seen
    assert all(each[f"{site}.{ZONE}"] == {"classic"} for each in seen for site in CLASSIC), seen


def outcomes_by_site(proxy: Proxy, before: int, names: list[str]) -> dict[str, set[str]]:
    """How the connections to each went; a browser opens as many as it likes, and on some it says nothing."""
    def spoken() -> dict[str, set[str]]:
        records = [record for record in proxy.records()[before:] if record["bytes_s2c"]]
        return {name: {record["outcome"] for record in records if record["server_name"] == name} for name in names}

    wait_until("every site's connection has ended", lambda: all(spoken().values()))
    return spoken()
