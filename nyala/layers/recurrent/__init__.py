"""Recurrent layers and their cells."""

from nyala.layers.recurrent.bidirectional import Bidirectional
from nyala.layers.recurrent.cells import GRUCell, LSTMCell, SimpleRNNCell, StackedRNNCells
from nyala.layers.recurrent.conv_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from nyala.layers.recurrent.rnn import GRU, LSTM, RNN, SimpleRNN

__all__ = [
    "GRU", "LSTM", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRUCell", "LSTMCell", "SimpleRNN",
    "SimpleRNNCell", "StackedRNNCells",
]  # fmt: skip
