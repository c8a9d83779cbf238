"""The cloud's side of each message: taken, kept once, told to people, and given out again.

Each module with a `handler` is a Lambda function. All but `read_strip` need boto3 alone, which
Lambda's Python has.
"""
