"""Many runs: sweeps, processes side by side, searches."""
