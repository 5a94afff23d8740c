"""Programs that reproduce a task's demonstrations, found by search or written by a language model."""
