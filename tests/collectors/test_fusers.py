from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.fusers import BestOfN, MajorityVote, ModelFusion, SetVote
from collectors.pipeline import Context, Example
from collectors.texts import normalise, numbers, short_answer

CONTEXT = Context(Example("1", "train", {}))
MAJORITY = MajorityVote(lambda c, t: short_answer(t), same=normalise)
SETS = SetVote(lambda c, t: numbers(t, 20), lambda c, chosen: ",".join(map(str, chosen)))


def test_majority_counts_normalised_answers_and_shows_the_first_as_written() -> None:
    assert MAJORITY.fuse(CONTEXT, ["Paris", "the ROME!", "Answer: Rome", "Oslo"]) == "the ROME!"


def test_majority_ties_go_to_the_first_drawn() -> None:
    assert MAJORITY.fuse(CONTEXT, ["Oslo", "Rome", "Rome", "oslo"]) == "Oslo"


def test_samples_that_do_not_parse_do_not_vote() -> None:
    assert MAJORITY.fuse(CONTEXT, ["", "  ", "", "Rome"]) == "Rome"
    assert MAJORITY.fuse(CONTEXT, ["", ""]) == ""


def test_set_vote_takes_the_most_common_length_then_members() -> None:
    # Lengths 2, 2, 3: two members; 4 occurs three times, 1 twice, the others once.
    assert SETS.fuse(CONTEXT, ["4, 1", "[7] [4]", "1,4,9"]) == "1,4"


def test_set_vote_ties_go_to_what_was_drawn_first() -> None:
    assert SETS.fuse(CONTEXT, ["9", "3, 2"]) == "9"
    assert SETS.fuse(CONTEXT, ["8", "5"]) == "8"


def test_set_vote_counts_a_member_once_a_sample() -> None:
    assert SETS.fuse(CONTEXT, ["5 5 5 5", "3", "3"]) == "3"


def test_set_vote_of_nothing_is_empty() -> None:
    assert SETS.fuse(CONTEXT, ["none", "99"]) == ""


def test_set_vote_sorts_numbers_as_numbers() -> None:
    assert SETS.fuse(CONTEXT, ["10, 9"]) == "9,10"


def test_best_of_n_takes_the_highest_judgement_and_the_first_of_equals() -> None:
    fuser = BestOfN(lambda c, t: t or None, lambda c, t: len(t))
    assert fuser.fuse(CONTEXT, ["ab", "", "abcd", "wxyz"]) == "abcd"
    assert fuser.fuse(CONTEXT, [""]) == ""


def test_best_of_n_judges_equal_answers_once() -> None:
    judged: list[str] = []

    def judge(context: Context, answer: str) -> float:
        judged.append(answer)
        return 0.0

    BestOfN(lambda c, t: t, judge).fuse(CONTEXT, ["a", "a", "b", "a"])
    assert judged == ["a", "b"]


def test_model_fusion_shows_candidates_and_falls_back_to_the_first_that_parses() -> None:
    fuser = ModelFusion(lambda c, t: t.strip() or None, lambda c: "Say a town.", longest=4)
    prompt = fuser.prompt(CONTEXT, ["Oslo", "", "Stockholm"])
    assert "Say a town." in prompt.text
    assert "Candidate 1:\nOslo\n\nCandidate 2:\nStoc\n" in prompt.text
    assert fuser.finish(CONTEXT, ["Oslo", "Rome"], " Bern ") == "Bern"
    assert fuser.finish(CONTEXT, ["", "Rome"], "  ") == "Rome"
    assert fuser.finish(CONTEXT, ["", " "], "") == ""


answers = st.lists(st.sampled_from(["Rome", "rome", "Oslo", "", "Bern"]), min_size=1, max_size=12)


@given(answers)
def test_a_majority_of_more_than_half_wins_in_any_order(texts: list[str]) -> None:
    votes = [v for t in texts if (v := MAJORITY.vote(CONTEXT, t)) is not None]
    winner = MAJORITY.fuse(CONTEXT, texts)
    for vote in set(votes):
        if votes.count(vote) * 2 > len(votes):
            assert normalise(winner) == vote
            assert normalise(MAJORITY.fuse(CONTEXT, texts[::-1])) == vote


@given(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=8))
def test_set_vote_gives_members_that_were_named_and_a_length_that_occurred(
    sets: list[list[int]],
) -> None:
    fused = SETS.fuse(CONTEXT, [", ".join(map(str, s)) for s in sets])
    found = [int(n) for n in fused.split(",")]
    assert set(found) <= {n for s in sets for n in s}
    assert len(found) in {len(set(s)) for s in sets}
    assert found == sorted(set(found))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 6))
def test_equal_sets_fuse_to_themselves(members: list[int], times: int) -> None:
    text = " ".join(map(str, members))
    assert SETS.fuse(CONTEXT, [text] * times) == ",".join(map(str, sorted(set(members))))
