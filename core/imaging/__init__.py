"""Medical images: readers, segmenters, regions, CAMs and their faithfulness."""
