"""What lies beneath every form: whole files, folders of one run, pickles that run nothing, grey PNG."""
