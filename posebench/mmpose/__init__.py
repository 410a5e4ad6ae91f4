"""MMPose's models through its own packages, which are optional."""
