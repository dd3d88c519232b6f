"""How often a request is tried again after its worker ended."""

from __future__ import annotations

from backend.sessions.patience import MAX_TRIES, Patience


def test_a_request_over_which_two_workers_ended_is_not_tried_a_third_time():
    patience = Patience()
    assert patience.again(blamed=True)
    assert not patience.again(blamed=True)


def test_one_that_only_shared_the_worker_is_tried_more_often_but_not_for_ever():
    patience = Patience()
    assert all(patience.again(blamed=False) for _ in range(MAX_TRIES - 1))
    assert not patience.again(blamed=False)


def test_a_run_that_advances_a_little_each_time_is_given_up_all_the_same():
    patience = Patience()
    assert patience.again(blamed=True, done=1)
    assert patience.again(blamed=True, done=2)
    assert not patience.again(blamed=True, done=3)


def test_a_long_run_outlasts_accidents_that_lie_far_apart():
    patience = Patience()
    assert all(patience.again(blamed=True, done=done) for done in range(0, 5000, 60))


def test_progress_renews_the_tries_of_who_is_not_to_blame():
    patience = Patience()
    assert all(patience.again(blamed=False, done=done) for done in range(40))
