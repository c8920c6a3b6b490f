//! Small pieces of text that several outputs share: counts, lists, times and durations.
