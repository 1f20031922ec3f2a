"""A program instrumented by Langfuse's SDK; host and keys are in the environment alone."""

from __future__ import annotations

from langfuse import get_client  # type: ignore[import-not-found]

langfuse = get_client()
with (
    langfuse.start_as_current_observation(as_type="agent", name="support"),
    langfuse.start_as_current_observation(
        as_type="generation", name="chat", model="gpt-4o", input=[{"role": "user", "content": "Hello"}]
    ) as generation,
):
    generation.update(output="Hi", usage_details={"input": 1_200, "output": 340})
langfuse.flush()
langfuse.shutdown()
