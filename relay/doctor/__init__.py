"""The steps that find out why mail goes or does not: each uses upstream, and is explained by diagnosis."""
