"""Do the rows keep the promise, and may they leave?"""
