"""A reply or an error in, its reason out: cause, who must act, what to do. The texts are data files."""
