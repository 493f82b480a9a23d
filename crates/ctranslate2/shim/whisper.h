// Whisper models.
#pragma once

#include <future>
#include <string>
#include <utility>
#include <vector>

#include <ctranslate2/models/whisper.h>

#include "encoder.h"
#include "model.h"
#include "tensor.h"

namespace speech_flow {

using ctranslate2::models::Whisper;
using ctranslate2::models::WhisperReplica;

struct LoadedWhisper {
  std::unique_ptr<Whisper> pool;
  // Ours, where there is one for the model.
  std::unique_ptr<Encoder> encoder;
};

inline LoadedWhisper& loaded(void* handle) {
  return *static_cast<LoadedWhisper*>(handle);
}

// CTranslate2 reads these fields of `config.json` without looking whether they are there, and uses the numbers as
// indices. So they are checked once, when the model is loaded.
inline void check_tokens(const nlohmann::json& config, const char* field, uint64_t vocabulary) {
  const auto found = config.find(field);
  if (found == config.end() || !found->is_array())
    throw InvalidModel(std::string("`config.json` has no list `") + field + "`");
  for (const auto& token : *found) {
    if (!token.is_number_integer() || token.get<int64_t>() < 0
        || static_cast<uint64_t>(token.get<int64_t>()) >= vocabulary)
      throw InvalidModel(std::string("`config.json` has a wrong token in `") + field + "`");
  }
}

inline void check_alignment_heads(const ctranslate2::models::Model& model) {
  const auto heads = model.config.find("alignment_heads");
  if (heads == model.config.end())
    return;
  int64_t layers = 0;
  while (model.layer_exists("decoder/layer_" + std::to_string(layers)))
    ++layers;
  const auto heads_of_layer = model.get_attribute_with_default<int32_t>("decoder/num_heads", 8);
  const auto is_index = [](const nlohmann::json& value, int64_t end) {
    return value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<int64_t>() < end;
  };
  bool valid = heads->is_array();
  if (valid) {
    for (const auto& head : *heads)
      valid = valid && head.is_array() && head.size() == 2 && is_index(head[0], layers)
              && is_index(head[1], heads_of_layer);
  }
  if (!valid)
    throw InvalidModel("`config.json` has a wrong list `alignment_heads`");
}

inline void whisper_load(const sf_files* files, const sf_config* config, void** handle, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    auto whisper = load<Whisper>(files, config);
    const auto& replica = whisper->get_first_replica();
    const auto& model = *replica.model();
    const auto& vocabulary = dynamic_cast<const ctranslate2::models::WhisperModel&>(model).get_vocabulary();
    const uint64_t tokens = vocabulary.size();
    if (rows_of(model, "decoder/embeddings/weight") < tokens)
      throw InvalidModel("the vocabulary has more tokens than `model.bin`");
    if (!model.config.is_object())
      throw InvalidModel("`config.json` is not an object");
    check_tokens(model.config, "suppress_ids", tokens);
    check_tokens(model.config, "suppress_ids_begin", tokens);
    if (replica.is_multilingual())
      check_tokens(model.config, "lang_ids", tokens);
    check_alignment_heads(model);
    const uint64_t positions = rows_of(model, "decoder/position_encodings/encodings");
    const uint64_t frames = 2 * rows_of(model, "encoder/position_encodings/encodings");
    store.numbers = {replica.n_mels(), replica.is_multilingual(), replica.num_languages(), tokens, positions, frames};
    store.text = ctranslate2::compute_type_to_str(model.effective_compute_type());
    auto encoder = Encoder::of(replica.model(), config->intra_threads);
    *handle = new LoadedWhisper{std::move(whisper), std::move(encoder)};
  });
}

inline void whisper_free(void* handle) noexcept {
  delete static_cast<LoadedWhisper*>(handle);
}

inline void whisper_encode(void* handle, const float* mel, uint64_t batch, uint64_t values, void** output,
                           sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    auto& [pool, encoder] = loaded(handle);
    const auto mels = static_cast<ctranslate2::dim_t>(pool->n_mels());
    const auto rows = static_cast<ctranslate2::dim_t>(batch);
    // Only read, and there until the call is answered.
    const StorageView features({rows, mels, static_cast<ctranslate2::dim_t>(values) / (rows * mels)},
                               const_cast<float*>(mel));
    auto encoded = encoder ? pool->post<StorageView>([&](WhisperReplica&) { return (*encoder)(features); })
                           : pool->encode(features, /*to_cpu=*/false);
    give(encoded.get(), output, store);
  });
}

inline std::vector<std::vector<size_t>> unpack(const sf_tokens& lists) {
  std::vector<std::vector<size_t>> unpacked;
  unpacked.reserve(lists.len);
  const uint32_t* next = lists.tokens;
  for (size_t i = 0; i < lists.len; ++i) {
    unpacked.emplace_back(next, next + lists.counts[i]);
    next += lists.counts[i];
  }
  return unpacked;
}

// Calls a replica with the windows, joined on its own thread; gives what comes of each row.
//
// `Whisper`'s own functions would copy them. The engine only reads them, in its decoder's first step:
// `TransformerDecoder::decode` in `src/layers/transformer.cc`.
template <typename Result, typename Call>
std::vector<Result> on_windows(void* handle, const sf_tensors* windows, const Call& call) {
  size_t count = 0;
  for (size_t i = 0; i < windows->len; ++i)
    count += static_cast<size_t>(tensor(windows->handles[i]).shape().at(0));
  if (count == 0)
    throw std::invalid_argument("no windows");
  // Before the job: once it runs, nothing may fail until it has ended, as it reads what the caller owns.
  std::vector<Result> results;
  results.reserve(count);
  auto rows = loaded(handle).pool->template post_batch<Result>(
      [windows, &call](WhisperReplica& replica) {
        const Batch batch(*windows);
        try {
          return call(replica, batch.view());
        } catch (...) {
          // A GPU may still be reading them.
          ctranslate2::synchronize_stream(replica.model()->device());
          throw;
        }
      },
      count);
  for (auto& row : rows)
    results.push_back(row.get());
  return results;
}

inline void whisper_detect_language(void* handle, const sf_tensors* windows, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    using Languages = std::vector<std::pair<std::string, float>>;
    const auto call = [](WhisperReplica& replica, StorageView encoded) {
      return replica.detect_language(std::move(encoded));
    };
    for (const auto& languages : on_windows<Languages>(handle, windows, call)) {
      store.numbers.push_back(languages.size());
      for (const auto& [token, probability] : languages) {
        store.text += token + "\n";
        store.floats.push_back(probability);
      }
    }
  });
}

inline ctranslate2::models::WhisperOptions unpack(const sf_options& options) {
  ctranslate2::models::WhisperOptions unpacked;
  unpacked.beam_size = options.beam_size;
  unpacked.patience = options.patience;
  unpacked.length_penalty = options.length_penalty;
  unpacked.repetition_penalty = options.repetition_penalty;
  unpacked.no_repeat_ngram_size = options.no_repeat_ngram_size;
  unpacked.max_length = options.max_length;
  unpacked.sampling_topk = options.sampling_topk;
  unpacked.sampling_temperature = options.sampling_temperature;
  unpacked.num_hypotheses = options.num_hypotheses;
  unpacked.return_scores = true;
  unpacked.return_no_speech_prob = options.return_no_speech_prob != 0;
  unpacked.max_initial_timestamp_index = options.max_initial_timestamp_index;
  unpacked.suppress_blank = options.suppress_blank != 0;
  unpacked.suppress_tokens.assign(options.suppress_tokens, options.suppress_tokens + options.suppress_tokens_len);
  return unpacked;
}

inline void whisper_generate(void* handle, const sf_tensors* windows, const sf_tokens* prompts,
                             const sf_options* options, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    const auto given = unpack(*options);
    const auto starts = unpack(*prompts);
    const auto call = [&](WhisperReplica& replica, StorageView encoded) {
      if (static_cast<ctranslate2::dim_t>(starts.size()) != encoded.dim(0))
        throw std::invalid_argument("as many prompts as windows are needed");
      return replica.generate(std::move(encoded), starts, given);
    };
    for (const auto& result : on_windows<ctranslate2::models::WhisperGenerationResult>(handle, windows, call)) {
      store.numbers.push_back(result.sequences_ids.size());
      store.floats.push_back(result.no_speech_prob);
      for (size_t i = 0; i < result.sequences_ids.size(); ++i) {
        const auto& tokens = result.sequences_ids[i];
        store.numbers.push_back(tokens.size());
        store.numbers.insert(store.numbers.end(), tokens.begin(), tokens.end());
        store.floats.push_back(result.scores.at(i));
      }
    }
  });
}

inline void whisper_align(void* handle, const sf_tensors* windows, const sf_tokens* start, const sf_tokens* texts,
                          const size_t* num_frames, uint64_t median_filter_width, sf_answer* answer) noexcept {
  run(answer, [&](Store& store) {
    const auto prompt = unpack(*start).at(0);
    const auto tokens = unpack(*texts);
    const std::vector<size_t> frames(num_frames, num_frames + texts->len);
    const auto call = [&](WhisperReplica& replica, StorageView encoded) {
      if (static_cast<ctranslate2::dim_t>(tokens.size()) != encoded.dim(0))
        throw std::invalid_argument("as many texts as windows are needed");
      return replica.align(std::move(encoded), prompt, tokens, frames,
                           static_cast<ctranslate2::dim_t>(median_filter_width));
    };
    for (const auto& result : on_windows<ctranslate2::models::WhisperAlignmentResult>(handle, windows, call)) {
      store.numbers.push_back(result.alignments.size());
      for (const auto& [token, frame] : result.alignments) {
        store.numbers.push_back(token);
        store.numbers.push_back(frame);
      }
      store.numbers.push_back(result.text_token_probs.size());
      store.floats.insert(store.floats.end(), result.text_token_probs.begin(), result.text_token_probs.end());
    }
  });
}

}  // namespace speech_flow
