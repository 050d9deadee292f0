"""The networks: recurrent from scratch, LSTM, transformer; and what they share."""
