"""What is learned from: scans, the cohort they form, and the small pieces that are drawn from them."""
