// Runs the body of a call, catches what it throws and fills the answer.
#pragma once

#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "api.h"

namespace speech_flow {

// What an answer points into.
struct Store {
  std::vector<uint64_t> numbers;
  std::vector<float> floats;
  std::string text;
};

// The files of the model are not what they should be.
struct InvalidModel : std::runtime_error {
  using std::runtime_error::runtime_error;
};

inline void fill(sf_answer* answer, sf_outcome outcome, std::unique_ptr<Store> store) noexcept {
  answer->outcome = outcome;
  answer->numbers = store->numbers.data();
  answer->numbers_len = store->numbers.size();
  answer->floats = store->floats.data();
  answer->floats_len = store->floats.size();
  answer->text = store->text.data();
  answer->text_len = store->text.size();
  answer->owner = store.release();
}

inline void fail(sf_answer* answer, sf_outcome outcome, const char* reason) noexcept {
  try {
    auto store = std::make_unique<Store>();
    store->text = reason;
    fill(answer, outcome, std::move(store));
  } catch (...) {
    static const char none[] = "out of memory";
    *answer = sf_answer{};
    answer->outcome = SF_OUT_OF_MEMORY;
    answer->text = none;
    answer->text_len = sizeof(none) - 1;
  }
}

template <typename Body>
void run(sf_answer* answer, const Body& body) noexcept {
  try {
    auto store = std::make_unique<Store>();
    body(*store);
    fill(answer, SF_DONE, std::move(store));
  } catch (const InvalidModel& error) {
    fail(answer, SF_INVALID_MODEL, error.what());
  } catch (const std::invalid_argument& error) {
    fail(answer, SF_INVALID_INPUT, error.what());
  } catch (const std::bad_alloc& error) {
    fail(answer, SF_OUT_OF_MEMORY, error.what());
  } catch (const std::exception& error) {
    fail(answer, SF_FAILED, error.what());
  } catch (...) {
    fail(answer, SF_FAILED, "an exception of an unknown type");
  }
}

}  // namespace speech_flow
