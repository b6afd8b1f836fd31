"""Programs of users as type checkers see them: what they take, and what they must refuse."""
