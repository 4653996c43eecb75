"""Whether a CPU can run local models."""

from services.inference.backends.cpu_instructions import missing_instructions

_OLD = "processor : 0\nflags\t\t: fpu sse4_2 avx f16c\nbugs : none\n"


def test_what_an_old_cpu_lacks_is_named() -> None:
    assert missing_instructions(_OLD, "x86_64") == ("AVX2", "FMA", "BMI2")


def test_a_new_enough_cpu_lacks_nothing() -> None:
    assert missing_instructions(_OLD.replace("avx ", "avx avx2 fma bmi2 "), "x86_64") == ()


def test_other_architectures_are_not_held_against_it() -> None:
    assert missing_instructions("Features : fp asimd\n", "aarch64") == ()
    assert missing_instructions("", "x86_64") == ()
