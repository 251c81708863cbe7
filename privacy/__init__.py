"""What is promised about private rows, what does it cost, and what has been spent?"""
