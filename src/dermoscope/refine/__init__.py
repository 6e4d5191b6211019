"""Numbers to better numbers: mean, calibration, prior shift, decision."""
