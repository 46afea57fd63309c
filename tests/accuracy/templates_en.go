package main

var english = []letter{
	{name: "crypto", form: htmlOnly, charset: "utf-8", encoding: "quoted-printable", greeting: "Hello", subject: "Your wallet earned 0.482 BTC while you slept", text: `@
Our trading robot closed 37 positions last night and every one of them was profitable. Members who joined in October have already tripled their first deposit.
You do not need any experience: deposit 250 dollars, switch the robot on and watch your balance grow. Withdraw your profits at any time, there is no fee and no lock-up.
-> Activate my robot | https://go.coin-robot.example/start
Only 50 places are left at this price. When they are taken, the minimum deposit goes up to 1000 dollars and the bonus of 15 percent is gone for good.
Your personal account manager will call you within two hours to set everything up.`},
	{name: "pharmacy", form: htmlOnly, charset: "us-ascii", encoding: "7bit", greeting: "Dear customer", subject: "80% off all tablets this week", text: `@
Our online pharmacy ships worldwide in plain packaging, no prescription needed, from only 0.99 per pill.
Best sellers: blue tablets 50 mg from 1.20, yellow tablets 20 mg from 1.65, sleeping pills 10 mg from 2.10, pain relief 100 mg from 1.95.
Order 60 pills and receive 10 more free of charge. Orders over 150 dollars are delivered without shipping costs within 7 days.
-> Visit the pharmacy | http://cheap-tablets.example/shop
All our products are tested and approved. Over 90000 happy customers cannot be wrong.`},
	{name: "b2b", form: plain, charset: "utf-8", encoding: "7bit", greeting: "Hi", subject: "Quick question about your warehouse", text: `@
I came across your company while researching distributors in your area and was impressed by how quickly you have grown.
We help companies like yours cut picking errors by up to 40 percent with handheld scanners that work with the software you already have. There is nothing to install and most teams are up and running in 3 days.
Would you be open to a 15 minute call next week? I would be happy to share how a distributor with 25 employees saved two full working days per month.
If you are not the right person, could you point me to who looks after logistics?
Best regards,
Mark Ellison
Northgate Scanners, 0161 555 0142`},
	{name: "heir", form: plain, charset: "iso-8859-1", encoding: "7bit", greeting: "Dear friend", subject: "URGENT AND CONFIDENTIAL BUSINESS", text: `@
I am the manager of the audit department of a bank in West Africa. In the course of my work I discovered an abandoned sum of 18,500,000 dollars in an account that belongs to a foreign customer who died with his entire family in a plane crash.
Since we received information about his death, we have been expecting his next of kin to come and claim the money, because we cannot release it unless somebody applies for it. Unfortunately all his supposed next of kin died with him.
I therefore decided to make this business proposal to you, so that the money can be released to you as the next of kin. I agree that 30 percent of this money will be for you, 10 percent for expenses and 60 percent for me.
Please send your full name, your telephone number and your bank account so that I can tell you the next step. Keep this proposal strictly secret.
Yours faithfully,
Mr. Ibrahim Sanou`},
	{name: "newsletter", form: alternative, charset: "utf-8", encoding: "quoted-printable", greeting: "Hello", subject: "This month: slow bread, fast soups", text: `@
Winter is coming and so is our longest list of recipes yet. This month we bake a rye loaf that needs three days and no kneading, and we cook five soups that are on the table within 25 minutes.
-> The slow rye loaf | https://www.kitchen-letter.example/rye
Our reader of the month is Helen from Leeds, who has fed a family of six from a tiny galley kitchen for 20 years. She shares her shopping list, her freezer plan and the one pan she could not live without.
-> Meet Helen | https://www.kitchen-letter.example/helen
From the shop: cast iron pots are back in stock in four colours, and until 30 November there is free delivery on orders above 40 pounds.
-> Visit the shop | https://www.kitchen-letter.example/shop
Happy cooking,
The Kitchen Letter`},
	{name: "charity", form: alternative, charset: "utf-8", encoding: "base64", greeting: "Dear supporter", subject: "Twelve puppies need a warm winter", text: `@
Last Tuesday our volunteers found 12 puppies in a cardboard box beside the motorway. They were cold, hungry and barely four weeks old.
Thanks to people like you they are safe now, but their care costs 85 pounds a day: milk, vaccinations, heating and a vet who comes every morning. Our reserves will last until 5 December.
-> Give a puppy a warm bed | https://www.second-chance-kennels.example/give
A gift of 15 pounds feeds one puppy for a week. A gift of 60 pounds pays for all its vaccinations. If you live nearby, come and see us on Sundays between 10 and 4, we would love to show you around.
With gratitude from all of us and 12 wagging tails,
Second Chance Kennels`},
	{name: "loan", form: htmlOnly, charset: "utf-8", encoding: "7bit", greeting: "Good morning", subject: "You are approved for up to 25,000", text: `@
Based on your profile you have been selected for a personal loan of up to 25,000 with fixed monthly payments from 199.
There are no upfront fees, no paperwork and no effect on your credit score when you check your offer. Bad credit or no credit history is not a problem.
-> See my offer | https://quick-approval.example/offer
The money can be in your account as soon as tomorrow. This offer expires in 48 hours and cannot be renewed.
Representative example: 5,000 over 36 months at 9.9 percent.`},
	{name: "seo", form: plain, charset: "utf-8", encoding: "base64", greeting: "Hello", subject: "Guest posts on 200 websites", text: `@
My name is Priya and I work for a link building agency. I have gone through your website and noticed that it has great content but very few links from other sites.
We can publish guest posts with links to your pages on more than 200 real websites about business, travel, health and technology, all with high authority and steady traffic.
Prices start at 30 dollars for each post, and we give a discount of 20 percent from the tenth post on. Turnaround is 5 working days and every link is permanent.
May I send you the list of websites together with a few samples of our work?
Looking forward to your reply,
Priya`},
	{name: "mailbox full", form: htmlOnly, charset: "iso-8859-1", encoding: "quoted-printable", greeting: "Dear user", subject: "Mailbox storage at 98%", text: `@
Your mailbox has used 4.9 GB of its 5 GB. Incoming messages are being held back on the server and will be deleted in 24 hours.
To keep your account and receive the 17 pending messages, please validate your password and accept the new storage plan, which is free of charge.
-> Release pending messages | https://webmail-upgrade.example/validate
Failure to do this will lead to permanent closure of the mailbox. This is an automatic notice from the mail administrator, do not answer it.`},
	{name: "webinar", form: alternative, charset: "utf-8", encoding: "7bit", greeting: "Hi", subject: "Seats are going fast: webinar on 3 December", text: `@
Join us on Thursday 3 December at 4 pm for a free webinar on what the new accounting rules mean for small firms.
Our two speakers have between them 45 years of experience as auditors. They will go through the three changes that matter, show the most common mistakes, and answer your questions live for 30 minutes.
-> Save my seat | https://events.ledger-school.example/webinar
Everybody who registers gets the recording, the slides and a checklist of 21 points to go through before the end of the year.
See you there,
The team of Ledger School`},
}
