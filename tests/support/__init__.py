"""What the suite shares: a real platform to speak to, needs to state, leaks to look for."""
