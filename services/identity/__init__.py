"""Who people are: users, passwords, sessions, and the tokens that prove them."""
