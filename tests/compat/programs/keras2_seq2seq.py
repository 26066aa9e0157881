# As of 2017: sequence to sequence with LSTM states, and the two models that decode.
from keras.models import Model
from keras.layers import Input, LSTM, Dense
import numpy as np

num_encoder_tokens, num_decoder_tokens, latent_dim, max_len = 7, 9, 8, 5
r = np.random.RandomState(0)
encoder_input_data = np.eye(num_encoder_tokens)[r.randint(0, 7, (32, max_len))].astype("float32")
decoder_input_data = np.eye(num_decoder_tokens)[r.randint(0, 9, (32, max_len))].astype("float32")
decoder_target_data = np.roll(decoder_input_data, -1, axis=1)

encoder_inputs = Input(shape=(None, num_encoder_tokens))
encoder = LSTM(latent_dim, return_state=True)
encoder_outputs, state_h, state_c = encoder(encoder_inputs)
encoder_states = [state_h, state_c]
decoder_inputs = Input(shape=(None, num_decoder_tokens))
decoder_lstm = LSTM(latent_dim, return_sequences=True, return_state=True)
decoder_outputs, _, _ = decoder_lstm(decoder_inputs, initial_state=encoder_states)
decoder_dense = Dense(num_decoder_tokens, activation="softmax")
decoder_outputs = decoder_dense(decoder_outputs)
model = Model([encoder_inputs, decoder_inputs], decoder_outputs)
model.compile(optimizer="rmsprop", loss="categorical_crossentropy")
model.fit(
    [encoder_input_data, decoder_input_data], decoder_target_data, batch_size=8, epochs=2, validation_split=0.2, verbose=0
)

encoder_model = Model(encoder_inputs, encoder_states)
decoder_state_input_h = Input(shape=(latent_dim,))
decoder_state_input_c = Input(shape=(latent_dim,))
decoder_states_inputs = [decoder_state_input_h, decoder_state_input_c]
decoder_outputs, state_h, state_c = decoder_lstm(decoder_inputs, initial_state=decoder_states_inputs)
decoder_states = [state_h, state_c]
decoder_outputs = decoder_dense(decoder_outputs)
decoder_model = Model([decoder_inputs] + decoder_states_inputs, [decoder_outputs] + decoder_states)

states_value = encoder_model.predict(encoder_input_data[:1])
target_seq = np.zeros((1, 1, num_decoder_tokens))
target_seq[0, 0, 0] = 1.0
for _ in range(3):
    output_tokens, h, c = decoder_model.predict([target_seq] + states_value, verbose=0)
    assert output_tokens.shape == (1, 1, num_decoder_tokens)
    target_seq = np.eye(num_decoder_tokens)[output_tokens[:, -1].argmax(-1)][:, None]
    states_value = [h, c]
