"""The import law: the packages of `submission`, and what each may import."""

LAW = """
errors.py rng.py deadline.py streams.py   -> nothing
atomic.py config.py input_files.py   -> errors
gpus.py presets.py versions.py   -> config errors
kaggle/                        -> checkpoint atomic config presets gpus versions errors
arc/                           -> config errors input_files rng
checkpoint/                    -> arc config errors input_files
model/                         -> checkpoint arc config versions errors
solver/                        -> arc config deadline rng
inference/                     -> checkpoint model solver arc config deadline errors rng
programs/                      -> arc config deadline errors rng, checkpoint model
results/                       -> solver arc atomic config errors input_files
runner/                        -> results solver programs arc atomic config deadline errors gpus rng streams, inference
training/                      -> checkpoint model arc atomic config errors rng
benchmarks/                    -> all
cli/                           -> all
"""
"""A package of `submission` -> the packages that its modules may import; after a comma: in single places only."""
