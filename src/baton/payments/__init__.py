"""Probabilistic micropayments, the receiving side: terms, tickets, balances, prices. Knows no wire and no database."""
