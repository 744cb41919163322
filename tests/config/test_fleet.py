"""Fleets: which environments a wave has, and each mistake's whole sentence."""

import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_zkrollback.config.fleet import FleetTable, resolve_waves
from pytest_zkrollback.config.loader import known_environments, load_environment, load_fleet
from pytest_zkrollback.domain.errors import UsageProblem
from pytest_zkrollback.domain.fleet import StopRule

ENVIRONMENTS = """
[defaults]
workloads = "auto"
namespace = "shop"
[environments.us-10]
[environments.us-2]
[environments.eu-canary]
[environments.eu-1]
[environments.eu-2]
kubeconfig = "eu-2.yaml"
"""
WAVES = 'waves = [["eu-canary"], ["eu-1", "eu-2"], ["us-*"]]\n'


@pytest.fixture
def toml(tmp_path):
    def write(fleet, environments=ENVIRONMENTS):
        path = tmp_path / "zkrollback.toml"
        path.write_text(textwrap.dedent(environments) + textwrap.dedent(fleet))
        return path

    return write


def prod(keys=WAVES):
    return f"[fleets.prod]\n{keys}"


def test_waves_hold_names_and_what_patterns_find_in_the_order_of_the_file(toml):
    fleet = load_fleet(toml(prod()), "prod")
    assert fleet.waves == (("eu-canary",), ("eu-1", "eu-2"), ("us-10", "us-2"))
    assert fleet.members == ("eu-canary", "eu-1", "eu-2", "us-10", "us-2")
    assert [fleet.wave_of(each) for each in fleet.members] == [1, 2, 2, 3, 3]
    assert (fleet.at_once, fleet.pause_s, fleet.stop, fleet.protected) == (10, 0, StopRule(failures=0), False)


def test_forty_environments_need_a_line_each(toml):
    """A context is called as its environment is, and [defaults] has the rest."""
    lines = "".join(f"[environments.us-{number}]\n" for number in range(40))
    fleet = load_fleet(
        toml(prod('waves = [["us-0"], ["us-?"], ["*"]]'), '[defaults]\nworkloads = "auto"\n' + lines), "prod"
    )
    assert [len(wave) for wave in fleet.waves] == [1, 9, 30]
    assert {env.context for env in fleet.environments.values()} == set(fleet.members)


def test_a_pattern_leaves_what_is_named_elsewhere_and_what_an_earlier_pattern_took(toml):
    fleet = load_fleet(toml(prod('waves = [["eu-canary"], ["eu-*"], ["*"]]')), "prod")
    assert fleet.waves == (("eu-canary",), ("eu-1", "eu-2"), ("us-10", "us-2"))
    later = load_fleet(toml(prod('waves = [["eu-*"], ["eu-canary"]]')), "prod")
    assert later.waves == (("eu-1", "eu-2"), ("eu-canary",))


@given(
    st.lists(st.sampled_from(["a-1", "a-2", "b-1", "b-2", "c"]), unique=True),
    st.lists(
        st.lists(st.sampled_from(["a-1", "b-2", "c", "a-*", "b-?", "*", "[ab]-1"]), min_size=1), min_size=1
    ),
)
def test_nobody_is_in_two_waves_whatever_is_written(known, waves):
    table = FleetTable(waves=waves)
    try:
        found = resolve_waves("zkrollback.toml", "prod", table, known)
    except UsageProblem:
        return
    members = [name for wave in found for name in wave]
    assert len(members) == len(set(members))
    assert set(members) <= set(known)
    assert all(found)
    assert {each for wave in waves for each in wave if each in known} <= set(members)


@pytest.mark.parametrize(
    ("stop", "rule"),
    [
        ('"first-failure"', StopRule(failures=0)),
        ("0", StopRule(failures=0)),
        ("3", StopRule(failures=3)),
        ('"20%"', StopRule(share=0.2)),
        ('"2.5%"', StopRule(share=0.025)),
        ('"100%"', StopRule(share=1.0)),
    ],
)
def test_how_many_may_fail(toml, stop, rule):
    assert load_fleet(toml(prod(f"{WAVES}stop = {stop}")), "prod").stop == rule


def test_a_protected_member_protects_the_fleet(toml):
    path = toml(prod() + '\n[environments.us-3]\nprotected = true\nidentity = { kube_system_uid = "u" }\n')
    assert load_fleet(path, "prod").protected is True
    assert load_fleet(toml(prod(f"{WAVES}protected = true")), "prod").protected is True


def test_a_file_with_fleets_is_read_by_a_run_of_one_environment(toml):
    path = toml(prod())
    assert "eu-1" in known_environments(path)
    assert load_environment(path, "eu-2").kubeconfig == "eu-2.yaml"


WAVES_HOW = 'it has to be a list of waves, each a list of names or patterns, as in [["eu-canary"], ["eu-*"]]'
STOP_HOW = 'it has to be "first-failure", how many members may fail (2), or which share of them ("20%")'


@pytest.mark.parametrize(
    ("fleet", "sentence"),
    [
        ("", "--fleet=prod is not known in zkrollback.toml: known fleets are none: add a table [fleets.NAME] "
         "with its waves"),
        ("[fleets.prd]\n" + WAVES, "--fleet=prod is not known in zkrollback.toml: known fleets are prd"),
        ("[fleet.prod]\n" + WAVES, "zkrollback.toml: unknown table [fleet] (did you mean 'fleets'?)"),
        ("[fleets]\nprod = 3", "zkrollback.toml: [fleets.prod] has to be a table"),
        ("[fleets.prod]\nat_once = 3", "zkrollback.toml: [fleets.prod] needs the key 'waves'"),
        (prod(f"{WAVES}at_onec = 3"),
         "zkrollback.toml: unknown key 'at_onec' in [fleets.prod] (did you mean 'at_once'?)"),
        (prod(f"{WAVES}at_once = 0"),
         "zkrollback.toml: 'at_once' in [fleets.prod] is 0: Input should be greater than or equal to 1"),
        (prod('waves = ["eu-1"]'), f"zkrollback.toml: 'waves' in [fleets.prod] is ['eu-1']: {WAVES_HOW}"),
        (prod("waves = []"), f"zkrollback.toml: 'waves' in [fleets.prod] is []: {WAVES_HOW}"),
        (prod("waves = [[]]"), f"zkrollback.toml: 'waves' in [fleets.prod] is [[]]: {WAVES_HOW}"),
        (prod('waves = [["eu-3"]]'),
         "zkrollback.toml: 'waves' in [fleets.prod] names 'eu-3', which is no environment (did you mean 'eu-2'?)"),
        (prod('waves = [["eu-1"], ["eu-1"]]'),
         "zkrollback.toml: 'waves' in [fleets.prod] names 'eu-1' 2 times: a member is rolled back once"),
        (prod('waves = [["ap-*"]]'),
         "zkrollback.toml: the pattern 'ap-*' of 'waves' in [fleets.prod] takes no environment (known: us-10, us-2, "
         "eu-canary, eu-1, eu-2)"),
        (prod('waves = [["eu-1", "eu-2", "eu-canary"], ["eu-*"]]'),
         "zkrollback.toml: the pattern 'eu-*' of 'waves' in [fleets.prod] takes no environment (all that it fits "
         "are named elsewhere)"),
        (prod('waves = [["drill"]]'),
         "zkrollback.toml: 'waves' in [fleets.prod] names 'drill', which is no environment (known: us-10, us-2, "
         "eu-canary, eu-1, eu-2)"),
        (prod(f'{WAVES}stop = "fifth"'), f"zkrollback.toml: 'stop' in [fleets.prod] is 'fifth': {STOP_HOW}"),
        (prod(f'{WAVES}stop = "101%"'), f"zkrollback.toml: 'stop' in [fleets.prod] is '101%': {STOP_HOW}"),
        (prod(f"{WAVES}stop = -1"), f"zkrollback.toml: 'stop' in [fleets.prod] is -1: {STOP_HOW}"),
        (prod(f"{WAVES}stop = true"), f"zkrollback.toml: 'stop' in [fleets.prod] is True: {STOP_HOW}"),
        (prod() + '\n[environments.us-3]\nnamspace = "x"\n',
         "zkrollback.toml: unknown key 'namspace' in [environments.us-3] (did you mean 'namespace'?)"),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(toml, fleet, sentence):
    with pytest.raises(UsageProblem) as caught:
        load_fleet(toml(fleet), "prod")
    assert str(caught.value) == f"{sentence}; helm did not run."
