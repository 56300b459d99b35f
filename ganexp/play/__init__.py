"""The playground: pages in a browser on which a person looks at runs, and watches a GAN learn in the plane."""
