"""The verbs of the command line, each with what it does and an example."""

VERBS = {
    "train": "train a GAN: ganexp train loss=wgan_gp data=mnist data.root=<folder>",
    "tune": "search for settings: ganexp tune space=rates trials=30 -- data=mnist epochs=10",
    "sample": "draw samples from a run: ganexp sample run=outputs/<name>/<run> n=64",
    "evaluate": "score a run: ganexp evaluate run=outputs/<name>/<run> metrics=[fid,precision,recall]",
    "film": "animate a run's sample grids: ganexp film run=outputs/<name>/<run>",
    "interpolate": "walk from sample to sample: ganexp interpolate run=outputs/<name>/<run> n=4",
    "mix": "give samples the fine styles of others: ganexp mix run=outputs/<name>/<run>",
    "directions": "find directions in the latents: ganexp directions run=outputs/<name>/<run> method=sefa",
    "edit": "invert and edit images: ganexp edit run=outputs/<name>/<run> input=me.jpg direction=3",
    "neighbours": "show samples beside training images: ganexp neighbours run=outputs/<name>/<run>",
    "moredata": "train classifiers with generated images too: ganexp moredata run=outputs/<name>/<run>",
    "translate": "apply a run to images: ganexp translate run=outputs/<name>/<run> input=in output=out",
    "anomaly": "find unusual images: ganexp anomaly run=outputs/<name>/<run> input=photos",
    "export": "write a generator for other programs: ganexp export run=outputs/<name>/<run>",
    "push": "send an exported generator to a hub: ganexp push run=<folder> to=<owner>/<name>",
    "pull": "take a generator from a hub: ganexp pull repo=<owner>/<name>",
    "zoo": "list the generators that come with ganexp: ganexp sample run=zoo:digits",
    "play": "look at runs in a browser: ganexp play run=outputs/<name>/<run>",
    "compare": "rank groups of runs and test their differences: ganexp compare outputs/<name>",
    "verify": "repeat a run's first steps and compare: ganexp verify run=outputs/<name>/<run>",
    "runs": "list runs: ganexp runs outputs loss=gan sort=fid_cnn",
    "diff": "show how two runs differ: ganexp diff outputs/<name>/<run> outputs/<name>/<run>",
    "data": "describe or prepare data; list, clear: ganexp data info data=folder data.root=<folder>",
}

DATA_ACTIONS = {
    "info": "describe a data set, draw samples: ganexp data info data=folder data.root=<folder>",
    "prepare": "decode a data set ahead of a run: ganexp data prepare data=folder data.root=<folder>",
    "list": "list the prepared data sets: ganexp data list",
    "clear": "remove the prepared data sets: ganexp data clear",
}
"""The actions of ``ganexp data``; info and prepare take groups and settings."""

DATA_HELP = f"""usage: ganexp data <action> [group=choice ...] [key=value ...]

{chr(10).join(f"  {action:10}{text}" for action, text in DATA_ACTIONS.items())}

  ganexp data info --help     every choice and every setting"""

WITHOUT_HYDRA = ("compare", "runs", "diff", "zoo")
"""The verbs that only read runs: they take folders and key=value settings."""
