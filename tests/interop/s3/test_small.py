"""What holds for the clients on the local disk holds for them on S3: the same tests, with another server.

Their files are smaller than a part, so that what is in between lies in segments.
"""

from tests.interop.test_tus_js import (
    test_a_restart_in_the_middle_of_a_request_resumes,
    test_an_empty_file_is_complete_when_it_is_created,
    test_data_may_come_with_the_creation,
    test_metadata_comes_back_as_it_went,
    test_termination_stops_a_running_request,
    test_the_length_may_come_at_the_end,
)
from tests.interop.test_tus_js_faults import (
    test_a_lost_answer_to_the_last_patch_is_success,
    test_any_mixture_of_faults_ends_in_the_right_bytes,
)
from tests.interop.test_tus_js_parallel import (
    test_a_pause_stops_every_partial_and_loses_nothing,
    test_more_partials_than_bytes_become_one_file,
    test_stored_urls_resume_the_partials_after_a_restart,
    test_termination_removes_every_partial,
)
from tests.interop.test_tus_js_parallel_faults import (
    test_a_final_that_did_not_arrive_is_asked_for_again,
    test_resets_at_random_places_lose_nothing,
)
from tests.interop.test_tuspy import (
    test_a_file_arrives_whole,
    test_faults_between_and_within_chunks_lose_nothing,
    test_the_asynchronous_uploader_works_too,
    test_without_retries_a_new_uploader_goes_on_at_the_byte_of_the_break,
)

__all__ = [
    "test_a_file_arrives_whole",
    "test_a_final_that_did_not_arrive_is_asked_for_again",
    "test_a_lost_answer_to_the_last_patch_is_success",
    "test_a_pause_stops_every_partial_and_loses_nothing",
    "test_a_restart_in_the_middle_of_a_request_resumes",
    "test_an_empty_file_is_complete_when_it_is_created",
    "test_any_mixture_of_faults_ends_in_the_right_bytes",
    "test_data_may_come_with_the_creation",
    "test_faults_between_and_within_chunks_lose_nothing",
    "test_metadata_comes_back_as_it_went",
    "test_more_partials_than_bytes_become_one_file",
    "test_resets_at_random_places_lose_nothing",
    "test_stored_urls_resume_the_partials_after_a_restart",
    "test_termination_removes_every_partial",
    "test_termination_stops_a_running_request",
    "test_the_asynchronous_uploader_works_too",
    "test_the_length_may_come_at_the_end",
    "test_without_retries_a_new_uploader_goes_on_at_the_byte_of_the_break",
]
