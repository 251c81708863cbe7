"""Which rows resemble these, without telling of any one of them?"""
