"""DMS.xml and DataMiner.xml hold credentials: they are parsed on the agent, alike in every lane."""

from __future__ import annotations

import json

import pytest
from conftest import Lane
from trees import DATAMINER, DMS, both, ordinary, write

SECRET = "Hunter2Geheim"

CLUSTERS = {
    "ordinary": (DMS, DATAMINER),
    "own entry with an id": ('<DMS><Cluster name=" a "/><DMA ip="1" id="69"/><DMA ip="2" id="35"/></DMS>', DATAMINER),
    "failover": ('<DMS><DMA ip="1"/><DMA ip="2" id="2"><Failover a="b"/></DMA></DMS>', DATAMINER),
    "a pair": ('<DMS><DMA ip="A"/><Failover><Agent ip="a"/><Agent IP="b"/></Failover></DMS>', DATAMINER),
    "a pair, deep": ('<DMS><DMA ip="a"/><Failover ip="v"><Agents><x ip="b"/><x ip=" a "/><VirtualIP ip="v"/></Agents></Failover></DMS>', DATAMINER),
    "a pair of others first": (
        '<DMS><DMA ip="a"/><Failover><x ip="c"/><x ip="d"/></Failover><Failover><x ip="a"/><x ip="b"/></Failover></DMS>',
        DATAMINER,
    ),
    "no pair: three": ('<DMS><DMA ip="a"/><Failover><x ip="a"/><x ip="b"/><x ip="c"/></Failover></DMS>', DATAMINER),
    "no pair: one": ('<DMS><DMA ip="a"/><Failover><x ip="a"/><x ip="A"/></Failover></DMS>', DATAMINER),
    "no pair: others": ('<DMS><DMA ip="a"/><Failover><x ip="b"/><x ip="c"/></Failover></DMS>', DATAMINER),
    "no pair: nobody": ('<DMS><DMA ip="a" id="3"/><Failover><x ip="b"/><x ip="c"/></Failover></DMS>', DATAMINER),
    "nobody is the agent": ('<DMS><DMA ip="1" id="1"/></DMS>', DATAMINER),
    "two without an id": ('<DMS><DMA ip="1"/><DMA ip="2"/></DMS>', DATAMINER),
    "ids that are none": ('<DMS><DMA ip="1" id="x"/><DMA ip="2" id="99999999999"/><DMA ip="3" id="-2"/><DMA ip="4"/></DMS>', DATAMINER),
    "no address": ('<DMS><DMA id="1"/><DMA ip=" " id="2"/><DMA ip="3"/></DMS>', DATAMINER),
    "no agent": ("<DMS/>", DATAMINER),
    "another root": ("<Elements/>", DATAMINER),
    "other case, a prefix, comments": ('<d:dms xmlns:d="urn:x"><!-- c --><?p?><d:dma IP="1"/><d:CLUSTER Name="x"/></d:dms>', '<DATAMINER ID="7"/>'),
    "declared encoding": ('<?xml version="1.0" encoding="utf-16"?>' + DMS, '\ufeff<?xml version="1.0"?>' + DATAMINER),
    "white space before": ("\r\n\t " + DMS, DATAMINER),
    "DataMiner.xml names no id": (DMS, "<DataMiner/>"),
    "DataMiner.xml is another file": (DMS, '<Other id="1"/>'),
    "DataMiner.xml is broken": (DMS, "<DataMiner"),
    "DataMiner.xml is missing": (DMS, None),
    "empty": ("", DATAMINER),
    "broken": (DMS[:-3], DATAMINER),
    "a DOCTYPE": ('<!DOCTYPE DMS [<!ENTITY a "b">]>' + DMS, DATAMINER),
    "an attribute twice": ('<DMS a="1" a="2"/>', DATAMINER),
    "no XML": ("\0\1\2", DATAMINER),
}


@pytest.mark.parametrize("name", CLUSTERS)
def test_cluster(host: Lane, name: str) -> None:
    dms, own = CLUSTERS[name]
    write(host.home / "agent" / "DMS.xml", dms)
    if own is not None:
        write(host.home / "agent" / "DataMiner.xml", own)
    document, reference = both(host)
    assert document["cluster"] == reference["cluster"]
    assert bool(document["cluster"]["error"]) == (name not in CLUSTERS_READABLE)
    assert document["cluster"]["twin"] == ("b" if name.startswith("a pair") else None)


CLUSTERS_READABLE = {
    *("ordinary", "own entry with an id", "failover", "other case, a prefix, comments", "declared encoding", "white space before"),
    *("a pair", "a pair, deep", "a pair of others first", "no pair: three", "no pair: one", "no pair: others"),
}


def test_cluster_of_an_ordinary_agent(host: Lane) -> None:
    ordinary(host.home)
    assert host.scan()["cluster"] == {
        "name": "pluto",
        "self_id": 69,
        "self_address": "10.4.2.92",
        "agents": [{"id": 69, "address": "10.4.2.92"}, {"id": 35, "address": "10.4.2.93"}],
        "failover": False,
        "twin": None,
        "error": None,
    }


@pytest.mark.parametrize(
    "dms",
    [
        pytest.param(
            f'<DMS><Cluster name="a" pwd="{SECRET}"/><DMA ip="1" {SECRET}="2"/><Redirect user="u" pwd="{SECRET}"/>{SECRET}</DMS>', id="whole"
        ),
        pytest.param(f'<DMS><DMA ip="1"/><Redirect pwd="{SECRET}"/><{SECRET}></DMS>', id="ended by another name"),
        pytest.param(f'<DMS><DMA ip="1"/><Redirect pwd="a&{SECRET};b"/></DMS>', id="an entity that isn't declared"),
        pytest.param(f'<DMS><DMA ip="1"/><Redirect pwd="{SECRET}<"/></DMS>', id="an angle in a value"),
        pytest.param(f'<DMS><Redirect {SECRET}="" {SECRET}=""/></DMS>', id="an attribute twice"),
        pytest.param(f"<{SECRET}:DMS/>", id="a prefix that isn't declared"),
    ],
)
def test_secrets_stay_on_the_agent(host: Lane, dms: str) -> None:
    ordinary(host.home)
    write(host.home / "agent" / "DMS.xml", dms)
    write(host.home / "agent" / "DataMiner.xml", f'<DataMiner id="1" pwd="{SECRET}"><a>{SECRET}</a></DataMiner>')
    document = host.scan()
    assert SECRET not in json.dumps(document)
    assert document["cluster"]["self_id"] in (1, None)
