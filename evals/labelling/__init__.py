"""Labels by a taxonomy: what each stage of labelling says, against truth."""
