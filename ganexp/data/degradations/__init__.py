"""What an image-to-image generator is given of each image (``conf/degrade``)."""
