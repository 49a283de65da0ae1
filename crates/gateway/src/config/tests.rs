//! The configuration's texts and its documentation.
