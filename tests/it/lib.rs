//! Nothing: the integration tests are the `it` program beside this file.
