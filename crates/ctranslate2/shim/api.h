// The interface between the Rust wrapper and CTranslate2. `src/raw.rs` is its mirror: change both, and the number.
//
// Rules: pointers that go in are read only during the call. A handle that comes out is freed once by the function of
// its kind. Every function may be called from any thread. No function throws. An answer is filled by the call and
// stays valid until `release`.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SPEECH_FLOW_CT2_ABI 2

#ifdef __cplusplus
extern "C" {
#endif

enum sf_outcome {
  SF_DONE = 0,
  SF_INVALID_INPUT = 1,
  SF_INVALID_MODEL = 2,
  SF_OUT_OF_MEMORY = 3,
  SF_FAILED = 4,
};

// What a call gives back. Where it failed, `text` says why.
struct sf_answer {
  void* owner;
  int32_t outcome;
  const uint64_t* numbers;
  size_t numbers_len;
  const float* floats;
  size_t floats_len;
  const char* text;
  size_t text_len;
};

// Reads the files of a model.
struct sf_files {
  void* context;
  // Gives 1 with a stream and its length, 0 where there is no such file, -1 where it cannot be opened.
  int32_t (*open)(void* context, const char* name, size_t name_len, void** stream, uint64_t* length);
  // Gives the number of bytes read, 0 at the end, -1 for a failure.
  int64_t (*read)(void* stream, uint8_t* into, size_t room);
  void (*close)(void* stream);
  const char* name;
  size_t name_len;
};

struct sf_config {
  int32_t device;  // 0 CPU, 1 CUDA
  int32_t device_index;
  int32_t compute_type;  // as ctranslate2::ComputeType
  uint64_t intra_threads;
  uint64_t replicas;
};

// Lists of tokens one after another.
struct sf_tokens {
  const uint32_t* tokens;
  const size_t* counts;
  size_t len;
};

// Encoded windows: tensors whose batches are read as one, in their order.
struct sf_tensors {
  const void* const* handles;
  size_t len;
};

struct sf_options {
  uint64_t beam_size;
  float patience;
  float length_penalty;
  float repetition_penalty;
  float sampling_temperature;
  uint64_t no_repeat_ngram_size;
  uint64_t max_length;
  uint64_t sampling_topk;
  uint64_t num_hypotheses;
  uint64_t max_initial_timestamp_index;
  const int32_t* suppress_tokens;
  size_t suppress_tokens_len;
  uint8_t suppress_blank;
  uint8_t return_no_speech_prob;
};

struct sf_api {
  uint32_t abi;
  uint32_t size;
  const char* version;
  void (*release)(struct sf_answer*);
  // Numbers: the count.
  void (*device_count)(int32_t device, struct sf_answer*);
  // Text: a name on each line.
  void (*compute_types)(int32_t device, int32_t index, struct sf_answer*);
  // Numbers: mel bins, multilingual, languages, vocabulary, positions of the decoder, frames of the encoder's input.
  // Text: the compute type.
  void (*whisper_load)(const struct sf_files*, const struct sf_config*, void** model, struct sf_answer*);
  void (*whisper_free)(void* model);
  // Numbers of each function that makes a tensor: its shape.
  void (*whisper_encode)(void* model, const float* mel, uint64_t batch, uint64_t values, void** tensor,
                         struct sf_answer*);
  // Numbers: languages of each row. Text: their tokens, one on a line. Floats: their probabilities.
  void (*whisper_detect_language)(void* model, const struct sf_tensors*, struct sf_answer*);
  // For each row, numbers: hypotheses, and of each the number of tokens and the tokens. Floats: the probability of
  // silence, and the score of each hypothesis.
  void (*whisper_generate)(void* model, const struct sf_tensors*, const struct sf_tokens* prompts,
                           const struct sf_options*, struct sf_answer*);
  // For each row, numbers: pairs, the pairs, and the number of probabilities. Floats: the probabilities.
  void (*whisper_align)(void* model, const struct sf_tensors*, const struct sf_tokens* start,
                        const struct sf_tokens* texts, const size_t* num_frames, uint64_t median_filter_width,
                        struct sf_answer*);
  void (*wav2vec2_load)(const struct sf_files*, const struct sf_config*, void** model, struct sf_answer*);
  void (*wav2vec2_free)(void* model);
  void (*wav2vec2_encode)(void* model, const float* samples, uint64_t batch, uint64_t length, void** tensor,
                          struct sf_answer*);
  void (*tensor_free)(void* tensor);
  void (*tensor_rows)(const void* tensor, uint64_t start, uint64_t end, void** rows, struct sf_answer*);
  void (*tensor_read)(const void* tensor, float* into, size_t len, struct sf_answer*);
};

// The one symbol of the library: the table of that interface, or null where it has another number.
__attribute__((visibility("default"))) const struct sf_api* speech_flow_ct2_api(uint32_t abi);

#ifdef __cplusplus
}
#endif
