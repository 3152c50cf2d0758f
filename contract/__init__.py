"""What all services say alike: the rule for user ids, names, rules for text. It imports nothing of ours."""
