"""Published chips beside what the cost model says of them."""
